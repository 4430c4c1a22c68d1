"""Credits: what people have, what is held for jobs, what was taken for good."""
