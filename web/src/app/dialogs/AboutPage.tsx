import { useEffect, useState } from "react";
import { systemStats, type SystemStats } from "@/api/calls";
import { useDefinitions } from "@/workflows/definitions";
import packageJson from "../../../package.json";
import { Spinner } from "../ui";

/** Licences of what is bundled into the page. */
const LICENCES: Record<string, string> = {
  "@leeoniya/ufuzzy": "MIT",
  "@xyflow/react": "MIT",
  cmdk: "MIT",
  immer: "MIT",
  "lucide-react": "ISC",
  "radix-ui": "MIT",
  react: "MIT",
  "react-dom": "MIT",
  "react-markdown": "MIT",
  "remark-gfm": "MIT",
  zustand: "MIT",
};

function gigabytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/** Versions, the machine, licences. */
export function AboutPage() {
  const [stats, setStats] = useState<SystemStats | null>(null);
  const nodes = useDefinitions((state) => state.definitions.size);
  useEffect(() => {
    systemStats().then(setStats, () => setStats(null));
  }, []);
  const system = (stats?.system ?? {}) as Readonly<Record<string, unknown>>;
  const devices = (stats?.devices ?? []) as unknown as readonly Readonly<Record<string, unknown>>[];
  const said = (key: string) => (typeof system[key] === "string" ? system[key] : "—");
  return (
    <section className="sl-about" aria-label="About">
      <h3>Safelight</h3>
      <p>A node-graph workflow engine for diffusion models. Nothing on this page leaves your machine.</p>
      {stats === null ? (
        <Spinner label="Asking the server" />
      ) : (
        <table>
          <tbody>
            <Fact name="Version" value={said("safelight_version")} />
            <Fact name="Python" value={said("python_version").split(" ")[0] ?? "—"} />
            <Fact name="PyTorch" value={said("pytorch_version")} />
            <Fact name="System" value={said("os")} />
            {devices.map((device, index) => (
              <Fact key={index} name={`Device ${index}`} value={`${String(device["name"])}${typeof device["vram_total"] === "number" ? `, ${gigabytes(device["vram_total"])}` : ""}`} />
            ))}
            {typeof system["ram_total"] === "number" && <Fact name="Memory" value={gigabytes(system["ram_total"])} />}
            <Fact name="Node types" value={String(nodes)} />
          </tbody>
        </table>
      )}
      <h3>Open-source parts of this page</h3>
      <table>
        <tbody>
          {Object.entries(packageJson.dependencies).map(([name, version]) => (
            <Fact key={name} name={name} value={`${version} · ${LICENCES[name] ?? "see its package"}`} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{value}</td>
    </tr>
  );
}
