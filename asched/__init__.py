"""An asyncio-native job scheduler."""
