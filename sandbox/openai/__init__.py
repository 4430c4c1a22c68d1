"""OpenAI's image API as it is on the wire: generations, edits, models, errors, headers, usage."""
