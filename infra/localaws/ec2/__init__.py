"""EC2 with AWS's own semantics, on top of moto's: tokens, capacity, quotas, states that take time, real machines."""
