"""The canary: somebody whose every word, file and header can be told from everybody else's, uses everything,
leaves, and is then looked for everywhere.
"""
