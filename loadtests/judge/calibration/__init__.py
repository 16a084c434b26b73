"""The gate's own error rates, estimated by block bootstrap from recorded runs."""
