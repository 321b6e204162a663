export { type PageAddress, type PageSubject, pageFragment, parsePageFragment } from './address.ts';
export { type InspectorServer, pageFolder, type Subject, serveInspector } from './serve.ts';
export type { SessionTarget } from './target.ts';
