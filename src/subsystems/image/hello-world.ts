import { EngineError } from "#base/errors.ts";
import { digestOf } from "#spec/oci/digest.ts";
import { hostPlatform } from "#spec/oci/parse.ts";
import { tarEntry } from "#spec/tar/tar.ts";
import { writeTar } from "#spec/tar/write.ts";
import { printingProgram } from "./elf.ts";

const greeting = `
Hello from Skiff!
This message shows that your installation appears to be working correctly.

What happened between your command and this text:
 1. The Skiff command line asked the Skiff daemon over its socket for a container.
 2. The daemon found the image "hello-world", which it carries within itself.
 3. It mounted the image's layer, gave the container its own process, mount, network,
    IPC and host-name namespaces and a control group, and started the program in it.
 4. The program wrote this; the daemon sent it back to your terminal.

Next, load or pull an image and look around in it:
 $ skiff run -it IMAGE sh
`;

/** The built-in image as a docker-archive: one layer with one static program. The same bytes every time. */
export async function* helloWorldArchive(): AsyncGenerator<Uint8Array> {
  const program = printingProgram(greeting, process.arch);
  if (program === null)
    throw new EngineError(
      "unsupported",
      "hello-world",
      `the built-in hello-world image does not exist for ${process.arch}`,
    );
  const layer = await collect(
    writeTar([
      { entry: tarEntry({ name: "hello", type: "file", mode: 0o755, sizeBytes: program.byteLength }), body: [program] },
    ]),
  );
  const config = Buffer.from(
    JSON.stringify({
      ...hostPlatform(),
      created: "2026-01-01T00:00:00Z",
      config: {
        Cmd: ["/hello"],
        Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        WorkingDir: "/",
      },
      rootfs: { type: "layers", diff_ids: [digestOf(layer)] },
      history: [
        { created: "2026-01-01T00:00:00Z", created_by: "COPY hello / # built into Skiff" },
        { created: "2026-01-01T00:00:00Z", created_by: 'CMD ["/hello"]', empty_layer: true },
      ],
    }),
  );
  const configName = `${digestOf(config).slice("sha256:".length)}.json`;
  const manifest = Buffer.from(
    JSON.stringify([{ Config: configName, RepoTags: ["hello-world:latest"], Layers: ["layer.tar"] }]),
  );
  const file = (name: string, bytes: Uint8Array) => ({
    entry: tarEntry({ name, type: "file", sizeBytes: bytes.byteLength }),
    body: [bytes],
  });
  yield* writeTar([file("layer.tar", layer), file(configName, config), file("manifest.json", manifest)]);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}
