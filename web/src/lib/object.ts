// References to Kubernetes objects: `apiVersion/kind[/namespace]/name`.

export interface ObjectName {
  kind: string;
  namespace: string;
  name: string;
}

/** The parts of a reference a person looks for. */
export function objectName(reference: string): ObjectName {
  const parts = reference.split("/");
  const version = parts.findIndex((part) => /^v\d/.test(part));
  const [kind = "", ...rest] = parts.slice(version + 1);
  const name = rest.pop() ?? "";
  return { kind, namespace: rest.pop() ?? "", name };
}

/** `registry/team/app:1.2@sha256:...` as `app:1.2`. */
export function shortImage(image: string): string {
  const name = image.split("@")[0] ?? image;
  return name.slice(name.lastIndexOf("/") + 1);
}
