"""What is promised, and what people agreed to."""
