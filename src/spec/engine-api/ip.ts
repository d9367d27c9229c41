/** Whether a text is an IPv4 or IPv6 address. node:net is loaded at the first question: it costs a short CLI call 2 ms. */
export function isIpAddress(text: string): boolean {
  return process.getBuiltinModule("node:net").isIP(text) !== 0;
}
