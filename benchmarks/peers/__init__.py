"""Other quantization libraries on the bundled model, each in an environment of its own.

One file a peer; `roster` lists them.
"""
