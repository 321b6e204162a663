/** Stylesheets are bundled into inspector.css by importing them. */
declare module '*.css' {}
