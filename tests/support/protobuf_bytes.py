"""Protobuf messages byte by byte, for tests and seeds that must not depend on what reads them."""


def varint(value):
    result = b""
    while value >= 0x80:
        result += bytes([value & 0x7f | 0x80])
        value >>= 7
    return result + bytes([value])


def field(number, value):
    """A field: a number, which may be negative, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    return varint(number << 3 | 2) + varint(len(value)) + value
