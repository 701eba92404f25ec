"""sentence-transformers' folders: how a text becomes one vector, read, computed and written."""
