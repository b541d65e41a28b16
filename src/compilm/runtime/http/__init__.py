"""HTTP for a loaded program: typed endpoints, problems as RFC 9457 documents, health."""
