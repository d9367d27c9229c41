/** Go's text/template language: text and actions into a tree. @see the documentation of Go's package text/template */

export type Expression =
  | { readonly kind: "literal"; readonly value: unknown; readonly at: number }
  | { readonly kind: "dot"; readonly at: number }
  | {
      readonly kind: "variable";
      readonly name: string;
      readonly fields: readonly string[];
      readonly at: number;
      readonly text: string;
    }
  | {
      readonly kind: "field";
      readonly target: Expression | null;
      readonly names: readonly string[];
      readonly at: number;
      readonly text: string;
    }
  | { readonly kind: "function"; readonly name: string; readonly at: number }
  | { readonly kind: "pipe"; readonly pipe: Pipeline; readonly at: number };

/** Words of one command: the first is called with the rest. */
export type TemplateCommand = readonly Expression[];

export interface Pipeline {
  readonly variables: readonly string[];
  /** `=` instead of `:=`. */
  readonly assigns: boolean;
  readonly commands: readonly TemplateCommand[];
}

export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "output"; readonly pipe: Pipeline }
  | {
      readonly kind: "if" | "with" | "range";
      readonly pipe: Pipeline;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    }
  | { readonly kind: "template"; readonly name: string; readonly pipe: Pipeline | null }
  | { readonly kind: "break" | "continue" };

export interface Template {
  readonly nodes: readonly Node[];
  readonly defined: ReadonlyMap<string, readonly Node[]>;
}

/** What is wrong with a template, in Go's words. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
}

interface Token {
  readonly kind: "word" | "field" | "variable" | "string" | "number" | "char" | "symbol" | "space";
  readonly text: string;
  readonly at: number;
}

const tokenPattern =
  /(?<space>\s+)|(?<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?<char>'(?:[^'\\]|\\.)+')|(?<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))|(?<variable>\$\w*)|(?<field>\.[A-Za-z_]\w*)|(?<word>[A-Za-z_]\w*)|(?<symbol>:=|[().|,=])/y;

function tokenize(source: string, offset: number): Token[] {
  const tokens: Token[] = [];
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < source.length) {
    const at = tokenPattern.lastIndex;
    const match = tokenPattern.exec(source);
    if (match === null) {
      if (source[at] === '"') throw new TemplateError("unterminated quoted string");
      throw new TemplateError(`unexpected ${JSON.stringify(source[at])} in operand`);
    }
    const [kind, text] = Object.entries(match.groups ?? {}).find(([, value]) => value !== undefined) ?? ["symbol", ""];
    tokens.push({ kind: kind as Token["kind"], text: text ?? "", at: offset + at });
  }
  return tokens;
}

function unquote(text: string): string {
  if (text.startsWith("`")) return text.slice(1, -1);
  const escapes: Record<string, string> = { n: "\n", t: "\t", r: "\r", "\\": "\\", '"': '"', "'": "'" };
  return text.slice(1, -1).replace(/\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)/g, (_, code: string) => {
    if (code.length > 1) return String.fromCodePoint(Number.parseInt(code.slice(1), 16));
    return escapes[code] ?? code;
  });
}

interface Piece {
  readonly action: boolean;
  readonly text: string;
  readonly at: number;
}

/** Text and actions; `{{-` and `-}}` eat the blanks around them; comments vanish. */
function split(source: string): Piece[] {
  const pieces: Piece[] = [];
  let trimNext = false;
  const addText = (text: string, trimEnd: boolean) => {
    let shown = trimNext ? text.trimStart() : text;
    if (trimEnd) shown = shown.trimEnd();
    if (shown !== "") pieces.push({ action: false, text: shown, at: 0 });
  };
  for (let at = 0; at <= source.length; ) {
    const open = source.indexOf("{{", at);
    if (open < 0) {
      addText(source.slice(at), false);
      return pieces;
    }
    const trimBefore = /^-\s/.test(source.slice(open + 2, open + 4));
    addText(source.slice(at, open), trimBefore);
    const start = open + (trimBefore ? 3 : 2);
    const close = findClose(source, start);
    if (close < 0) throw new TemplateError("unclosed action");
    trimNext = /\s-$/.test(source.slice(start, close));
    const inner = source.slice(start, trimNext ? close - 1 : close);
    if (!/^\s*\/\*[\s\S]*\*\/\s*$/.test(inner)) pieces.push({ action: true, text: inner, at: start });
    at = close + 2;
  }
  return pieces;
}

/** The `}}` that ends an action, not one inside a string. */
function findClose(source: string, from: number): number {
  for (let at = from; at < source.length; at++) {
    const letter = source[at];
    if (letter === '"' || letter === "`") {
      const end = letter === "`" ? source.indexOf("`", at + 1) : stringEnd(source, at);
      if (end < 0)
        throw new TemplateError(letter === "`" ? "unterminated raw quoted string" : "unterminated quoted string");
      at = end;
    } else if (source.startsWith("}}", at)) return at;
  }
  return -1;
}

function stringEnd(source: string, open: number): number {
  for (let at = open + 1; at < source.length; at++) {
    if (source[at] === "\\") at++;
    else if (source[at] === '"') return at;
  }
  return -1;
}

/** @throws TemplateError */
export function parseTemplate(source: string, functions: ReadonlySet<string>): Template {
  const parser = new TemplateParser(split(source), functions);
  const nodes = parser.list([]);
  return { nodes: nodes.nodes, defined: parser.defined };
}

class TemplateParser {
  readonly defined = new Map<string, readonly Node[]>();
  #position = 0;

  constructor(
    private readonly pieces: readonly Piece[],
    private readonly functions: ReadonlySet<string>,
  ) {}

  /** Nodes up to an action that begins with one of `ends`. */
  list(ends: readonly string[]): { nodes: Node[]; end: Token[] | null } {
    const nodes: Node[] = [];
    while (this.#position < this.pieces.length) {
      const piece = this.pieces[this.#position++];
      if (piece === undefined) break;
      if (!piece.action) {
        nodes.push({ kind: "text", text: piece.text });
        continue;
      }
      const tokens = tokenize(piece.text, piece.at).filter(
        (token, index, all) => token.kind !== "space" || (index > 0 && index < all.length - 1),
      );
      const first = tokens[0];
      if (first === undefined) throw new TemplateError("missing value for command");
      if (first.kind === "word" && ends.includes(first.text)) return { nodes, end: tokens };
      const node = this.#action(first, tokens);
      if (node !== null) nodes.push(node);
    }
    if (ends.length > 0) throw new TemplateError("unexpected EOF");
    return { nodes, end: null };
  }

  #action(first: Token, tokens: Token[]): Node | null {
    switch (first.kind === "word" ? first.text : "") {
      case "if":
      case "with":
      case "range":
        return this.#branch(first.text as "if", tokens.slice(1));
      case "define":
      case "block": {
        const [, , name] = tokens;
        const { nodes } = this.list(["end"]);
        if (name?.kind !== "string") throw new TemplateError(`unexpected token in ${first.text} clause`);
        this.defined.set(unquote(name.text), nodes);
        return first.text === "block"
          ? { kind: "template", name: unquote(name.text), pipe: this.#pipeline(tokens.slice(3)) }
          : null;
      }
      case "template": {
        const name = tokens[2];
        if (name?.kind !== "string") throw new TemplateError("unexpected token in template clause");
        return {
          kind: "template",
          name: unquote(name.text),
          pipe: tokens.length > 3 ? this.#pipeline(tokens.slice(3)) : null,
        };
      }
      case "break":
      case "continue":
        return { kind: first.text as "break" };
      case "end":
      case "else":
        throw new TemplateError(`unexpected {{${first.text}}}`);
      default:
        return { kind: "output", pipe: this.#pipeline(tokens) };
    }
  }

  #branch(kind: "if" | "with" | "range", tokens: Token[]): Node {
    const pipe = this.#pipeline(tokens);
    const { nodes: body, end } = this.list(["end", "else"]);
    if (end?.[0]?.text !== "else") return { kind, pipe, body, otherwise: [] };
    const chained = end.slice(1).filter((token) => token.kind !== "space")[0];
    if (chained?.text === "if" || chained?.text === "with") {
      const rest = end.slice(end.indexOf(chained) + 1);
      return { kind, pipe, body, otherwise: [this.#branch(chained.text as "if", rest)] };
    }
    return { kind, pipe, body, otherwise: this.list(["end"]).nodes };
  }

  #pipeline(tokens: readonly Token[]): Pipeline {
    const meaningful = trim(tokens);
    const declare = meaningful.findIndex((token) => token.text === ":=" || token.text === "=");
    const variables =
      declare < 0
        ? []
        : meaningful
            .slice(0, declare)
            .filter((token) => token.kind === "variable")
            .map((token) => token.text);
    const rest = trim(declare < 0 ? meaningful : meaningful.slice(declare + 1));
    const commands: Expression[][] = [];
    let cursor = 0;
    const cursorAt = {
      get: () => cursor,
      set: (value: number) => {
        cursor = value;
      },
    };
    commands.push(...this.#commands(rest, cursorAt, false));
    return { variables, assigns: declare >= 0 && meaningful[declare]?.text === "=", commands };
  }

  #commands(
    tokens: readonly Token[],
    cursor: { get(): number; set(value: number): void },
    nested: boolean,
  ): Expression[][] {
    const commands: Expression[][] = [];
    let words: Expression[] = [];
    for (;;) {
      const token = tokens[cursor.get()];
      if (token === undefined) {
        if (nested) throw new TemplateError("unclosed left paren");
        break;
      }
      if (token.kind === "space") cursor.set(cursor.get() + 1);
      else if (token.text === "|") {
        if (words.length === 0) throw new TemplateError("missing value for command");
        commands.push(words);
        words = [];
        cursor.set(cursor.get() + 1);
      } else if (token.text === ")") {
        if (!nested) throw new TemplateError("unexpected right paren");
        cursor.set(cursor.get() + 1);
        break;
      } else words.push(this.#operand(tokens, cursor));
    }
    if (words.length === 0) throw new TemplateError("missing value for command");
    commands.push(words);
    return commands;
  }

  #operand(tokens: readonly Token[], cursor: { get(): number; set(value: number): void }): Expression {
    const token = tokens[cursor.get()];
    if (token === undefined) throw new TemplateError("missing operand");
    cursor.set(cursor.get() + 1);
    const fields = () => {
      const names: string[] = [];
      for (let next = tokens[cursor.get()]; next?.kind === "field"; next = tokens[cursor.get()]) {
        names.push(next.text.slice(1));
        cursor.set(cursor.get() + 1);
      }
      return names;
    };
    const { at } = token;
    switch (token.kind) {
      case "string":
        return { kind: "literal", value: unquote(token.text), at };
      case "char":
        return { kind: "literal", value: unquote(token.text).codePointAt(0) ?? 0, at };
      case "number":
        return { kind: "literal", value: Number(token.text), at };
      case "variable": {
        const names = fields();
        return { kind: "variable", name: token.text, fields: names, at, text: [token.text, ...names].join(".") };
      }
      case "field": {
        const names = [token.text.slice(1), ...fields()];
        return { kind: "field", target: null, names, at, text: `.${names.join(".")}` };
      }
      case "word":
        if (token.text === "true" || token.text === "false")
          return { kind: "literal", value: token.text === "true", at };
        if (token.text === "nil") return { kind: "literal", value: null, at };
        if (!this.functions.has(token.text)) throw new TemplateError(`function "${token.text}" not defined`);
        return { kind: "function", name: token.text, at };
      default:
        if (token.text === "(") {
          const commands = this.#commands(tokens, cursor, true);
          const inner: Expression = { kind: "pipe", pipe: { variables: [], assigns: false, commands }, at };
          const names = fields();
          return names.length === 0 ? inner : { kind: "field", target: inner, names, at, text: `.${names.join(".")}` };
        }
        if (token.text === ".") return { kind: "dot", at };
        throw new TemplateError(`unexpected ${JSON.stringify(token.text)} in operand`);
    }
  }
}

function trim(tokens: readonly Token[]): Token[] {
  const list = [...tokens];
  while (list[0]?.kind === "space") list.shift();
  while (list.at(-1)?.kind === "space") list.pop();
  return list;
}
