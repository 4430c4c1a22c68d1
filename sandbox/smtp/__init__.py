"""An SMTP server that keeps what it is given, and a mailbox to read it in."""
