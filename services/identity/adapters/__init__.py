"""The outside of identity: mail server, key files, the policy in force, and Argon2's threads."""
