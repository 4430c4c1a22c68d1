"""The same platform in containers: what docker-compose.yml needs beside images."""
