/** What a browser begins with (RFC 6455 §1.2). */
export function handshake(protocol = 'sip'): string {
  return [
    'GET / HTTP/1.1',
    'Host: sbc.example',
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Protocol: ${protocol}`,
    '\r\n',
  ].join('\r\n')
}
