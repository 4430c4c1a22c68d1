"""What identity does when time passes: mails go out, what is past its time goes away."""
