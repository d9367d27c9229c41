import { describe, expect, test } from "bun:test";
import { Struct } from "./go-value.ts";
import { GoTemplate } from "./template.ts";

const data = {
  Name: "web",
  Count: 3,
  On: true,
  Nothing: null,
  List: ["a", "b", "c"],
  Labels: { zeta: "1", alpha: "2", "with.dot": "x" },
  Networks: { bridge: { IP: "172.17.0.2" }, other: { IP: "10.0.0.2" } },
  Nested: { Deep: { Value: 1.5 } },
};

describe("Go templates", () => {
  test.each([
    ["{{.Name}}", "web"],
    ["{{.Name}} {{.Count}} {{.On}} {{.Nothing}}", "web 3 true <nil>"],
    ["{{.List}} {{.Labels}}", "[a b c] map[alpha:2 with.dot:x zeta:1]"],
    ["{{.Missing}}", "<no value>"],
    ["{{json .List}}", '["a","b","c"]'],
    ["{{json .Networks.bridge}}", '{"IP":"172.17.0.2"}'],
    ["{{range .List}}<{{.}}>{{end}}", "<a><b><c>"],
    ["{{range $i, $e := .List}}{{$i}}={{$e}} {{end}}", "0=a 1=b 2=c "],
    ["{{range $k, $v := .Networks}}{{$k}}:{{$v.IP}};{{end}}", "bridge:172.17.0.2;other:10.0.0.2;"],
    ["{{range .Nothing}}x{{else}}none{{end}}", "none"],
    ["{{if .On}}yes{{else}}no{{end}}", "yes"],
    ["{{if eq .Count 1}}one{{else if eq .Count 3}}three{{else}}many{{end}}", "three"],
    ["{{with .Nested.Deep}}{{.Value}}{{end}}", "1.5"],
    ["{{with .Missing}}x{{else}}y{{end}}", "y"],
    ['{{index .Labels "with.dot"}} {{index .List 1}}', "x b"],
    ['{{.Name | printf "%-6s|"}}', "web   |"],
    ['{{printf "%05d %q %t %v" .Count .Name .On .List}}', '00003 "web" true [a b c]'],
    ['{{join .List "-"}} {{upper .Name}} {{title .Name}} {{lower "ABC"}}', "a-b-c WEB Web abc"],
    ['{{split "a:b" ":"}} {{len .List}} {{slice .Name 1 3}} {{truncate .Name 2}}', "[a b] 3 eb we"],
    ["{{and .On .Name}} {{or .Nothing .Name}} {{not .On}}", "web web false"],
    ['{{lt 1 2}} {{ge 2 2}} {{ne .Name "x"}} {{eq .Name "a" "web"}}', "true true true true"],
    ["a {{- .Name -}} b", "awebb"],
    ["{{/* a comment */}}x", "x"],
    ["{{$x := .Name}}{{$x}}{{$.Count}}", "web3"],
    ['{{define "t"}}[{{.}}]{{end}}{{template "t" .Name}}', "[web]"],
    ["{{(index .List 0)}}{{(.Nested.Deep).Value}}", "a1.5"],
    ["{{println .Name}}", "web\n"],
    ['{{range .List}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', "a"],
    ['{{range .List}}{{if eq . "b"}}{{continue}}{{end}}{{.}}{{end}}', "ac"],
    ["{{`raw {{`}}", "raw {{"],
  ])("%s", (source, text) => {
    expect(new GoTemplate(source).render(data)).toBe(text);
  });

  test.each([
    ["{{.Name", "unclosed action"],
    ["{{nope .Name}}", 'function "nope" not defined'],
    ["{{if .On}}x", "unexpected EOF"],
    ["{{end}}", "unexpected {{end}}"],
    ['{{"open}}', "unterminated quoted string"],
    ["{{(.Name}}", "unclosed left paren"],
    ["{{}}", "missing value for command"],
  ])("%s does not parse", (source, message) => {
    expect(() => new GoTemplate(source)).toThrow(message);
  });

  test("rows know their fields, inspect's maps theirs", () => {
    const row = new Struct("*formatter.ContainerContext", { ID: "1", Label: (key: unknown) => `<${String(key)}>` });
    expect(new GoTemplate('{{.ID}}{{.Label "x"}}').render(row)).toBe("1<x>");
    expect(() => new GoTemplate("{{.Nope}}").render(row)).toThrow(
      "can't evaluate field Nope in type *formatter.ContainerContext",
    );
    expect(() => new GoTemplate("{{.Nope}}", "error").render(data)).toThrow('map has no entry for key "Nope"');
  });
});
