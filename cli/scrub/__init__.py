"""The scrub: removes the bytes that engines leave behind of what was erased, and proves it by searching.

An operator's tool: it works with the administrator's rights on servers, and with the operator's certificate
on services. docs/adr/0015 says what was found to stay where, and why it goes as it does.
"""
