"""Sans-io codecs: bytes in, values out, or a `ProtocolError`. Pure."""
