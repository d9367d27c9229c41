import { goText, isMap, isTrue, Struct, sortedKeys, typeName } from "./go-value.ts";
import { templateFunctions } from "./template-functions.ts";
import {
  type Expression,
  type Node,
  type Pipeline,
  parseTemplate,
  type Template,
  type TemplateCommand,
  TemplateError,
} from "./template-parse.ts";

/** `and` and `or` look at their words one by one, so they are no ordinary functions. */
const lazy = new Set(["and", "or"]);
const names = new Set([...Object.keys(templateFunctions), ...lazy]);

class Leave extends Error {
  constructor(readonly how: "break" | "continue") {
    super(how);
  }
}

type Scope = Map<string, unknown>[];

/** A template that is ready to print values. */
export class GoTemplate {
  readonly #template: Template;

  /**
   * @param missing what a map without the key gives: `<no value>`, or an error (`inspect`)
   * @throws TemplateError in the words of Docker's CLI
   */
  constructor(
    source: string,
    private readonly missing: "zero" | "error" = "zero",
  ) {
    try {
      this.#template = parseTemplate(source, names);
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      throw new TemplateError(`template parsing error: template: :1: ${error.message}`);
    }
  }

  /** @throws TemplateError */
  render(value: unknown): string {
    const scope: Scope = [new Map([["$", value]])];
    return this.#list(this.#template.nodes, value, scope);
  }

  #list(nodes: readonly Node[], dot: unknown, scope: Scope): string {
    let text = "";
    for (const node of nodes) {
      try {
        text += this.#node(node, dot, scope);
      } catch (error) {
        if (error instanceof Leave)
          throw Object.assign(error, { printed: text + ((error as Leave & { printed?: string }).printed ?? "") });
        throw error;
      }
    }
    return text;
  }

  #node(node: Node, dot: unknown, scope: Scope): string {
    switch (node.kind) {
      case "text":
        return node.text;
      case "output": {
        const value = this.#pipeline(node.pipe, dot, scope);
        return node.pipe.variables.length > 0 ? "" : goText(value);
      }
      case "if":
      case "with": {
        const inner: Scope = [new Map(), ...scope];
        const value = this.#pipeline(node.pipe, dot, inner);
        const chosen = isTrue(value);
        return this.#list(chosen ? node.body : node.otherwise, chosen && node.kind === "with" ? value : dot, inner);
      }
      case "range":
        return this.#range(node, dot, scope);
      case "template": {
        const body = this.#template.defined.get(node.name);
        if (body === undefined) throw new TemplateError(`template: :1: template "${node.name}" not defined`);
        const value = node.pipe === null ? undefined : this.#pipeline(node.pipe, dot, scope);
        return this.#list(body, value, [new Map([["$", value]])]);
      }
      case "break":
      case "continue":
        throw new Leave(node.kind);
    }
  }

  #range(node: Extract<Node, { pipe: Pipeline; body: readonly Node[] }>, dot: unknown, scope: Scope): string {
    const value = this.#pipeline({ ...node.pipe, variables: [] }, dot, scope);
    const entries = rangeEntries(value);
    if (entries.length === 0) return this.#list(node.otherwise, dot, [new Map(), ...scope]);
    let text = "";
    for (const [key, item] of entries) {
      const [first, second] = node.pipe.variables;
      const own = new Map<string, unknown>();
      if (second !== undefined && first !== undefined) own.set(first, key).set(second, item);
      else if (first !== undefined) own.set(first, item);
      try {
        text += this.#list(node.body, item, [own, ...scope]);
      } catch (error) {
        if (!(error instanceof Leave)) throw error;
        text += (error as Leave & { printed?: string }).printed ?? "";
        if (error.how === "break") break;
      }
    }
    return text;
  }

  #pipeline(pipe: Pipeline, dot: unknown, scope: Scope): unknown {
    let value: unknown;
    pipe.commands.forEach((command, position) => {
      value = this.#command(command, dot, scope, position === 0 ? [] : [value]);
    });
    for (const name of pipe.variables) {
      const owner = pipe.assigns ? scope.find((level) => level.has(name)) : scope[0];
      if (owner === undefined) throw new TemplateError(`template: :1: undefined variable "${name}"`);
      owner.set(name, value);
    }
    return value;
  }

  #command(command: TemplateCommand, dot: unknown, scope: Scope, piped: readonly unknown[]): unknown {
    const [first, ...rest] = command;
    if (first === undefined) throw new TemplateError("template: :1: missing value for command");
    if (first.kind === "function") return this.#call(first, rest, dot, scope, piped);
    const args = [...rest.map((word) => this.#value(word, dot, scope)), ...piped];
    if (first.kind === "field") return this.#field(first, dot, scope, args);
    if (args.length > 0) throw this.#failure(first, "can't give argument to non-function");
    return this.#value(first, dot, scope);
  }

  #call(
    word: Extract<Expression, { kind: "function" }>,
    rest: readonly Expression[],
    dot: unknown,
    scope: Scope,
    piped: readonly unknown[],
  ): unknown {
    if (lazy.has(word.name)) {
      let last: unknown;
      for (const thunk of [
        ...rest.map((expression) => () => this.#value(expression, dot, scope)),
        ...piped.map((value) => () => value),
      ]) {
        last = thunk();
        if (isTrue(last) === (word.name === "or")) return last;
      }
      return last;
    }
    const call = templateFunctions[word.name];
    if (call === undefined) throw this.#failure(word, `function "${word.name}" not defined`);
    const args = [...rest.map((expression) => this.#value(expression, dot, scope)), ...piped];
    try {
      return call(...args);
    } catch (error) {
      if (error instanceof TemplateError) throw error;
      throw this.#failure(
        word,
        `error calling ${word.name}: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  #value(expression: Expression, dot: unknown, scope: Scope): unknown {
    switch (expression.kind) {
      case "literal":
        return expression.value;
      case "dot":
        return dot;
      case "variable": {
        const level = scope.find((candidate) => candidate.has(expression.name));
        if (level === undefined)
          throw new TemplateError(`template parsing error: template: :1: undefined variable "${expression.name}"`);
        return this.#walk(level.get(expression.name), expression.fields, expression, []);
      }
      case "field":
        return this.#field(expression, dot, scope, []);
      case "function":
        return this.#call(expression, [], dot, scope, []);
      case "pipe":
        return this.#pipeline(expression.pipe, dot, scope);
    }
  }

  #field(
    expression: Extract<Expression, { kind: "field" }>,
    dot: unknown,
    scope: Scope,
    args: readonly unknown[],
  ): unknown {
    const target = expression.target === null ? dot : this.#value(expression.target, dot, scope);
    return this.#walk(target, expression.names, expression, args);
  }

  #walk(
    target: unknown,
    fields: readonly string[],
    expression: Extract<Expression, { text: string }>,
    args: readonly unknown[],
  ): unknown {
    let value = target;
    fields.forEach((name, position) => {
      const own = position === fields.length - 1 ? args : [];
      value = this.#member(value, name, expression, own);
    });
    return value;
  }

  #member(
    value: unknown,
    name: string,
    expression: Extract<Expression, { text: string }>,
    args: readonly unknown[],
  ): unknown {
    if (value instanceof Struct) {
      if (!Object.hasOwn(value.fields, name))
        throw this.#failure(expression, `can't evaluate field ${name} in type ${value.type}`);
      const field = value.fields[name];
      if (typeof field === "function") return (field as (...words: unknown[]) => unknown)(...args);
      if (args.length > 0) throw this.#failure(expression, `${name} is not a method but has arguments`);
      return field;
    }
    if (isMap(value)) {
      if (Object.hasOwn(value, name)) return value[name];
      if (this.missing === "error") throw this.#failure(expression, `map has no entry for key "${name}"`);
      return undefined;
    }
    if (value === null || value === undefined) {
      if (this.missing === "error" || value === undefined)
        throw this.#failure(expression, `nil data; no entry for key "${name}"`);
      return undefined;
    }
    throw this.#failure(expression, `can't evaluate field ${name} in type ${typeName(value)}`);
  }

  #failure(expression: Expression, why: string): TemplateError {
    const shown = "text" in expression ? expression.text : expression.kind === "function" ? expression.name : ".";
    return new TemplateError(`template: :1:${expression.at}: executing "" at <${shown}>: ${why}`);
  }
}

function rangeEntries(value: unknown): [unknown, unknown][] {
  if (Array.isArray(value)) return value.map((item, position) => [position, item]);
  if (isMap(value)) return sortedKeys(value).map((key) => [key, value[key]]);
  if (typeof value === "number") return Array.from({ length: value }, (_, position) => [position, position]);
  if (value === null || value === undefined) return [];
  throw new TemplateError(`template: :1: range can't iterate over ${goText(value)}`);
}
