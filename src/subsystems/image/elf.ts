/** The smallest Linux programs: print a text, exit 0; no libc, no loader. @see elf(5), the System V ABI supplements */

const loadAddress = 0x400000n;
const headerBytes = 64 + 56;

/** x86-64: write(1, text, length); exit(0). */
function x64Code(textAddress: bigint, length: number): Uint8Array {
  const code = new DataView(new ArrayBuffer(36));
  const bytes = new Uint8Array(code.buffer);
  bytes.set([0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0xbe]); // mov eax,1; mov edi,1; movabs rsi,…
  code.setBigUint64(12, textAddress, true);
  bytes[20] = 0xba; // mov edx,…
  code.setUint32(21, length, true);
  bytes.set([0x0f, 0x05, 0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05], 25); // syscall; xor edi,edi; mov eax,60; syscall
  return bytes;
}

/** aarch64: the same; addresses by movz/movk. */
function arm64Code(textAddress: bigint, length: number): Uint8Array {
  const movz = (register: number, value: number, shift = 0) =>
    (0xd2800000 | ((shift / 16) << 21) | ((value & 0xffff) << 5) | register) >>> 0;
  const movk = (register: number, value: number, shift: number) =>
    (0xf2800000 | ((shift / 16) << 21) | ((value & 0xffff) << 5) | register) >>> 0;
  const address = Number(textAddress);
  const svc = 0xd4000001;
  const words = [
    movz(0, 1),
    movz(1, address),
    movk(1, address >>> 16, 16),
    movz(2, length),
    movz(8, 64),
    svc,
    movz(0, 0),
    movz(8, 93),
    svc,
  ];
  const code = new DataView(new ArrayBuffer(words.length * 4));
  for (const [index, word] of words.entries()) code.setUint32(index * 4, word, true);
  return new Uint8Array(code.buffer);
}

/** An executable that prints `text` and exits with 0. @param architecture as Node names it; null for one it cannot make */
export function printingProgram(text: string, architecture: string): Uint8Array | null {
  const machine = architecture === "x64" ? 62 : architecture === "arm64" ? 183 : null;
  if (machine === null) return null;
  const makeCode = machine === 62 ? x64Code : arm64Code;
  const bytes = new TextEncoder().encode(text);
  const entry = loadAddress + BigInt(headerBytes);
  const codeLength = makeCode(0n, 0).byteLength;
  const code = makeCode(entry + BigInt(codeLength), bytes.byteLength);
  const size = headerBytes + codeLength + bytes.byteLength;
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // an executable
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, entry, true);
  view.setBigUint64(32, 64n, true); // program headers follow
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true); // one segment to load,
  view.setUint32(68, 5, true); // readable and executable
  view.setBigUint64(80, loadAddress, true);
  view.setBigUint64(88, loadAddress, true);
  view.setBigUint64(96, BigInt(size), true);
  view.setBigUint64(104, BigInt(size), true);
  view.setBigUint64(112, 0x1000n, true);
  file.set(code, headerBytes);
  file.set(bytes, headerBytes + codeLength);
  return file;
}
