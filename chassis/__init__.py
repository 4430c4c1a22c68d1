"""The transport: what every service needs and none owns."""
