import { appCommands } from "./appCommands";
import { editCommands } from "./editCommands";
import { registerCommands } from "./registry";
import { runCommands } from "./runCommands";
import { subgraphCommands } from "./subgraphCommands";
import { viewCommands } from "./viewCommands";
import { workflowCommands } from "./workflowCommands";

/** Registers every command of the editor. */
export function registerAllCommands(): () => void {
  return registerCommands([...workflowCommands, ...editCommands, ...subgraphCommands, ...viewCommands, ...runCommands, ...appCommands]);
}
