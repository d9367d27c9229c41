/** One line of GET /events. `status`, `id`, `from` are the spelling of API 1.24 and older tools, kept by Docker. */
export interface EventMessage {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  scope: "local";
  time: number;
  timeNano: number;
  status?: string;
  id?: string;
  from?: string;
}

/** Docker's `filters` query parameter: key to the set of values. `{"label":["a=b"]}` and `{"label":{"a=b":true}}` are both read. */
export type Filters = Readonly<Record<string, readonly string[]>>;
