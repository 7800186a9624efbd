/**
 * A whole device in Python, with nothing but its standard library: a reading a second, and what the hub says to it.
 * @param {import('./add_snippets.js').Credentials} c
 */
export function python(c) {
  const { hostname, port } = new URL(c.url)
  return `import base64, hashlib, os, random, socket, ssl, struct, time

HOST, PORT = "${hostname.replace(/[[\]]/g, '')}", ${port || 443}
TOKEN = "${c.token}"
TRUST = """
${c.certificate.trim()}
"""

def head(kind, n):
    if n < 24:
        return bytes([kind << 5 | n])
    size = 1 if n < 1 << 8 else 2 if n < 1 << 16 else 4 if n < 1 << 32 else 8
    return bytes([kind << 5 | 23 + size.bit_length()]) + n.to_bytes(size, "big")

def cbor(v):
    if isinstance(v, int):
        return head(0, v) if v >= 0 else head(1, -1 - v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(map(cbor, v))
    return head(5, len(v)) + b"".join(cbor(k) + cbor(v[k]) for k in sorted(v))

def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])

context = ssl.create_default_context(cadata=TRUST)
context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # TRUST may be an intermediate's certificate
hub = context.wrap_socket(socket.create_connection((HOST, PORT), 15), server_hostname=HOST)
hub.sendall(f"GET /v1/device HTTP/1.1\\r\\nHost: {HOST}:{PORT}\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
            f"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\\r\\n"
            f"Sec-WebSocket-Protocol: telemetry.v1\\r\\nAuthorization: Bearer {TOKEN}\\r\\n\\r\\n".encode())
stream = hub.makefile("rb")
answer = [stream.readline().decode().strip()]
while line := stream.readline().strip():
    answer.append(line.decode())
if " 101 " not in answer[0]:
    raise SystemExit(answer[0] + ": " + stream.read().decode().strip())

def send(message, opcode=2):
    mask = os.urandom(4)
    size = bytes([128 | len(message)]) if len(message) < 126 else bytes([254]) + struct.pack(">H", len(message))
    hub.sendall(bytes([128 | opcode]) + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(message)))

def receive():
    while True:
        opcode, size = stream.read(2)
        if size == 126:
            size, = struct.unpack(">H", stream.read(2))
        message = stream.read(size)
        if opcode & 15 == 9:
            send(message, 10)  # pong
        elif opcode & 15 == 8:
            raise SystemExit(f"closed by the hub: {struct.unpack('>H', message[:2])[0]} {message[2:].decode()}")
        else:
            return message

now = lambda: time.time_ns() // 1000
schema = cbor({1: [{1: 0, 2: "temperature", 3: 3, 4: "Cel", 6: 1000}]})  # Float32, every 1000 ms
send(b"\\x01" + cbor({1: random.getrandbits(63) + 1, 3: now(), 5: hashlib.sha256(schema).digest()[:8], 6: 1, 7: 1, 9: "1.0", 10: "python"}))
while receive()[0] != 0x81:  # WELCOME
    pass
send(b"\\x02" + schema)
seq = 0
while True:
    seq += 1
    temperature = 21 + random.random()
    send(b"\\x03" + varint(seq) + b"\\0" + struct.pack("<q", now()) + b"\\x01" + b"\\x04" + struct.pack("<f", temperature))
    while (kind := receive()[0]) not in (0x82, 0x83):
        pass
    print(seq, f"{temperature:.2f}", "is on the hub's disk" if kind == 0x82 else "was rejected", flush=True)
    time.sleep(1)
`
}
