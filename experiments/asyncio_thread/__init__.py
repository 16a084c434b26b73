"""What calling an asyncio client through a thread of its own costs."""
