"""The outside: vendors, and the bytes that go to them and come back."""
