"""The scripted server: a DynamoDB of known latency, in a process of its own."""
