"""One module per action: `async def handle(context, message) -> Answer`."""
