import { expect, test } from "bun:test";
import { decodeRawText, encodeRawText } from "./raw-text.ts";

test("valid text is itself", () => {
  for (const text of ["", "plain", "é€😀", "\ufeffmark"]) {
    expect(decodeRawText(Buffer.from(text))).toBe(text);
    expect(encodeRawText(text).toString()).toBe(text);
  }
});

test("any bytes come back as they were, and different bytes as different text", () => {
  const samples = [
    [0xff],
    [0xe9],
    [0xc3],
    [0xc3, 0x28],
    [0xed, 0xb2, 0x80],
    [0xf0, 0x9f, 0x98],
    [0x61, 0xe2, 0x82, 0x62],
  ];
  for (let round = 0; round < 300; round++)
    samples.push(Array.from({ length: 1 + (round % 7) }, () => Math.floor(Math.random() * 256)));
  const seen = new Map<string, string>();
  for (const sample of samples) {
    const bytes = Buffer.from(sample);
    const text = decodeRawText(bytes);
    expect(encodeRawText(text).toString("hex")).toBe(bytes.toString("hex"));
    expect(seen.get(text) ?? bytes.toString("hex")).toBe(bytes.toString("hex"));
    seen.set(text, bytes.toString("hex"));
  }
});
