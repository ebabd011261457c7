"""A port of the router that leads to a socket of this host: asked for, renewed, given back (RFC 6887, RFC 6886, UPnP-IGD)."""
