"""What each connector costs, by the registry: signing, orders, frames, and the first order."""
