"""The ground floor: rows and bytes, versions and durability. It knows no domain word."""
