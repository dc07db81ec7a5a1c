"""The server of our own CA (``meshproxy ca serve``): HTTPS before `identity.ca`, in a process of its own."""
