"""What runs Crafiq somewhere: this machine, a gateway, a cluster."""
