"""The gateway: guidelines in front of any model. Not built yet; the room keeps its place."""
