"""What can be read of TLS without keys: the ClientHello."""
