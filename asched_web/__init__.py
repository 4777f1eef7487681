"""The raw ASGI application that shows and steers an asched scheduler."""
