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


def fields_of(message):
    """The fields of a message: pairs as field() takes them."""
    at = 0

    def number():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        elif key & 7 == 2:
            length = number()
            yield key >> 3, message[at:at + length]
            at += length
        else:
            raise ValueError(f"a field of kind {key & 7}")
