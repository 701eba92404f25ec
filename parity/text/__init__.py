"""Is a folder's text read right? Tokens, and what becomes of them, against transformers' and sentence-transformers'."""
