plugins { application }

dependencies { implementation(project(":core")) }
