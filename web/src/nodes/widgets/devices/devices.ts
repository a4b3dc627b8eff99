/** Microphones and cameras of the person's machine. */

/** Ask for one. Throws an Error that says in words why there is none. */
export async function opened(what: "audio" | "video"): Promise<MediaStream> {
  const name = what === "audio" ? "microphone" : "camera";
  // Missing where the page did not come over https or from this machine.
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (devices === undefined) throw new Error(`Browsers give a page the ${name} only over https or from localhost. Open the editor at such an address, or upload a file.`);
  try {
    return await devices.getUserMedia({ [what]: true });
  } catch (error) {
    throw new Error(why(name, error instanceof DOMException ? error.name : ""), { cause: error });
  }
}

function why(name: string, error: string): string {
  switch (error) {
    case "NotAllowedError":
    case "SecurityError":
      return `The browser does not let this page use the ${name}. Allow it in the address bar, and try again.`;
    case "NotFoundError":
    case "OverconstrainedError":
      return `No ${name} was found. Connect one, or upload a file.`;
    case "NotReadableError":
    case "AbortError":
      return `The ${name} does not answer; another program may be using it.`;
    default:
      return `The ${name} could not be opened.`;
  }
}

export function close(stream: MediaStream | null): void {
  stream?.getTracks().forEach((track) => track.stop());
}
