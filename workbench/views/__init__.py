"""One file a tab: build the components, wire their events, paint them from a session."""
